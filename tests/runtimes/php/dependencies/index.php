<?php

function main(array $args): array
{
    return Greeter\Greeter::greet($args['name']);
}
