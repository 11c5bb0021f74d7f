<?php

// Does what it is told while it is loaded.
$hog = [];
$trouble = getenv('TROUBLE');
while ($trouble === 'time') {
}
if ($trouble === 'exit') {
    exit(1);
}
while ($trouble === 'memory') {
    $hog[] = str_repeat('x', 16 << 20);
}
if ($trouble === 'text') {
    throw new Exception(str_repeat('x', 2 << 20));
}

function main(array $args): array
{
    return ['host' => gethostname()];
}
