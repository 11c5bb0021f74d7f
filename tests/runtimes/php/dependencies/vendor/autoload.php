<?php

spl_autoload_register(function (string $class): void {
    if ($class === 'Greeter\\Greeter') {
        require __DIR__ . '/nobody/greeter/Greeter.php';
    }
});
