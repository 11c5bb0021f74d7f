<?php

function main(array $args): array
{
    eval('function main() {}');
    return [];
}
