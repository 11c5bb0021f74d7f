<?php

function main(array $args): array
{
    throw new Exception('nooooo');
}
