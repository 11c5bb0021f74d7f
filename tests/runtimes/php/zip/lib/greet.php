<?php

function greet(string $name): array
{
    return ['greeting' => "Hello $name!"];
}
