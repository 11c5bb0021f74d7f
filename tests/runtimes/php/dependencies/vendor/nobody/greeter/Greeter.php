<?php

namespace Greeter;

class Greeter
{
    public static function greet(string $name): array
    {
        return ['greeting' => "Hello $name!"];
    }
}
