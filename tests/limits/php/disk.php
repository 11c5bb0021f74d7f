<?php

// Writes files, each of a size that is allowed, and waits for what becomes of that.
function main(array $args): array
{
    if ($args['calm'] ?? false) {
        return ['host' => gethostname()];
    }
    $block = str_repeat('x', 8 << 20);
    for ($i = 0; $i < 40; $i++) {
        if (@file_put_contents(sys_get_temp_dir() . "/file$i", $block) !== strlen($block)) {
            return ['code' => 'ENOSPC'];
        }
    }
    sleep(50);
    return ['files' => 40];
}
