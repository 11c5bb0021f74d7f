<?php

// Starts processes until it may not.
function main(array $args): array
{
    if ($args['calm'] ?? false) {
        return ['host' => gethostname()];
    }
    $children = [];
    while (count($children) < 500 && ($child = @proc_open(['sleep', '60'], [], $pipes)) !== false) {
        $children[] = $child;
    }
    foreach ($children as $child) {
        proc_terminate($child, SIGKILL);
        proc_close($child);
    }
    return ['count' => count($children)];
}
