<?php

function main(array $args): void
{
}
