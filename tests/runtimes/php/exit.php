<?php

function main(array $args): array
{
    exit(3);
}
