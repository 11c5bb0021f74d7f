<?php

function niam(array $args): array
{
    return $args;
}
