<?php

function main(array $args): stdClass
{
    $result = new stdClass();
    $result->hello = 'world';
    return $result;
}

class Greeting
{
    public static function copy(array $args): ArrayObject
    {
        return new ArrayObject(['hello' => 'array']);
    }
}
