<?php

function main(array $args): array
{
    return $args;
}

eval('function main() {}');
