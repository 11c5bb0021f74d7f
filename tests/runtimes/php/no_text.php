<?php

function main(array $args): array
{
    return ['text' => "\xff"];
}
