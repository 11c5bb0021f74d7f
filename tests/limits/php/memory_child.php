<?php

// Its child is killed for want of memory, and it goes on; later it ends by itself.
function main(array $args): array
{
    if ($args['calm'] ?? false) {
        return ['host' => gethostname()];
    }
    if ($args['exit'] ?? false) {
        exit(1);
    }
    $child = proc_open([PHP_BINARY, '-d', 'memory_limit=-1', '-r', 'str_repeat("x", 1 << 30);'], [], $pipes);
    do {
        usleep(10_000);
        $status = proc_get_status($child);
    } while ($status['running']);
    return ['killed' => $status['signaled'] && $status['termsig'] === SIGKILL];
}
