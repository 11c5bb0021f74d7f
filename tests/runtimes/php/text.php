<?php

function main(array $args)
{
    return 'not an object';
}
