<?php

/*
 * Loads one PHP action and runs it, once for every line the action proxy sends.
 *
 * Called as `launcher.php CODE_DIR MAIN`, or without arguments: then the first line on descriptor 0 has them, and the
 * variables of the action. Requests come in on descriptor 0, answers leave on descriptor 3, one line of JSON each;
 * descriptors 1 and 2 are the action's logs. The first answer says whether the action could be loaded, and if not, why:
 * that text is what the developer gets to read. Names of files and what may be returned are upstream's
 * (apache/openwhisk-runtime-php).
 */

namespace Oxwhisk {
    /** What is wrong with the uploaded code, as a sentence. */
    class Refused extends \Exception
    {
    }

    class Launcher
    {
        /** Deeper than anybody nests; there is no word for "without a bound". */
        private const DEPTH = 100_000;
        private const FATAL = E_ERROR | E_PARSE | E_CORE_ERROR | E_COMPILE_ERROR | E_USER_ERROR;
        /** Where Debian puts PHP's packages; what of them is on board is found without being required. */
        private const PACKAGES = ['GuzzleHttp\\' => 'GuzzleHttp', 'Ramsey\\Uuid\\' => 'Ramsey/Uuid'];

        /** @var resource */
        private $requests;
        /** @var resource */
        private $answers;
        /** @var resource Held as descriptor 0, so that no child reads requests. */
        private $null;
        private string $folder = '';
        private string $main = '';
        /** What a fatal error is answered with, by the member that holds its text; none while nothing is asked. */
        private ?array $pending = null;

        /** Moves the protocol away from descriptor 0. PHP has no way to keep it from children altogether. */
        public function __construct()
        {
            ini_set('display_errors', '0');
            ini_set('log_errors', '1');
            ini_set('memory_limit', '-1');
            error_reporting(E_ALL);
            if (function_exists('pcntl_signal')) {
                // A file that becomes too large is an error of the write, not the end.
                pcntl_signal(SIGXFSZ, SIG_IGN);
            }
            $this->requests = fopen('php://fd/0', 'rb');
            $this->answers = fopen('php://fd/3', 'wb');
            fclose(STDIN);
            $this->null = fopen('/dev/null', 'rb');
            $_ENV = getenv();
            register_shutdown_function([$this, 'shutDown']);
        }

        /** Gets its orders, and tells which files are to be loaded: in the global scope, where this cannot be done. */
        public function files(array $arguments): array
        {
            [$this->folder, $this->main] = count($arguments) > 2 ? array_slice($arguments, 1) : $this->order();
            $this->pending = ['ok' => false];
            $this->folder = (string) realpath($this->folder);
            chdir($this->folder);
            if (is_file('exec') && !is_file('index.php')) {
                rename('exec', 'index.php');
            }
            if (!is_file('index.php')) {
                throw new Refused('Zip file does not include index.php');
            }
            $autoload = $this->folder . '/vendor/autoload.php';
            if (!is_file($autoload)) {
                spl_autoload_register([$this, 'autoload']);
                return [$this->folder . '/index.php'];
            }
            return [$autoload, $this->folder . '/index.php'];
        }

        private function order(): array
        {
            $line = fgets($this->requests);
            if ($line === false) {
                exit(0);
            }
            $order = json_decode($line, true, self::DEPTH);
            foreach ($order['env'] as $name => $value) {
                self::put($name, $value);
            }
            return [$order['code_dir'], $order['main']];
        }

        public function autoload(string $class): void
        {
            foreach (self::PACKAGES as $prefix => $folder) {
                $file = "/usr/share/php/$folder/autoload.php";
                if (str_starts_with($class, $prefix) && is_file($file)) {
                    require_once $file;
                    // It has put its own loader behind this one.
                    class_exists($class);
                }
            }
        }

        /** Answers until the proxy closes the channel. */
        public function serve(): void
        {
            if (!is_callable($this->main)) {
                throw new Refused("The action's code does not define '$this->main'.");
            }
            $this->send(['ok' => true]);
            while (($line = fgets($this->requests)) !== false) {
                $this->pending = [];
                $this->send($this->run(json_decode($line, true, self::DEPTH)));
            }
        }

        /** Sets the `__OW_*` variables of this activation and calls the action. */
        private function run(array $request): mixed
        {
            foreach ($request as $key => $value) {
                if ($key !== 'value') {
                    self::put('__OW_' . strtoupper($key), $value);
                }
            }
            try {
                return self::result(($this->main)($request['value'] ?? []));
            } catch (\Throwable $error) {
                fwrite(STDERR, "$error\n");
                return ['error' => $error->getMessage()];
            }
        }

        /** Lists are objects, too, as upstream has it: to PHP they are the same. */
        private static function result(mixed $result): mixed
        {
            if (is_object($result) && method_exists($result, 'getArrayCopy')) {
                $result = $result->getArrayCopy();
            }
            if ($result === null || is_array($result)) {
                return (object) $result;
            }
            if ($result instanceof \stdClass || $result instanceof \JsonSerializable) {
                return $result;
            }
            fwrite(STDERR, 'Result must be an array but has type "' . get_debug_type($result) . "\".\n");
            return null;
        }

        private static function put(string $name, mixed $value): void
        {
            if (is_string($value) && !str_contains($value, "\0")) {
                putenv("$name=$value");
                $_ENV[$name] = $value;
            }
        }

        /** Says why the action cannot be loaded. */
        public function refuse(\Throwable $error): never
        {
            $trace = array_filter(
                explode("\n", $error->getTraceAsString()),
                fn ($frame) => !str_contains($frame, __FILE__) && !str_contains($frame, '{main}')
            );
            $place = $error->getFile() . ':' . $error->getLine();
            $text = $error instanceof Refused
                ? $error->getMessage()
                : implode("\n", [get_class($error) . ': ' . $error->getMessage() . " in $place", ...$trace]);
            fwrite(STDERR, "$text\n");
            $this->send(['ok' => false, 'error' => $text]);
            exit(1);
        }

        /** Errors that cannot be caught are answered here; an action that ends by itself is not. */
        public function shutDown(): void
        {
            $error = error_get_last();
            if ($this->pending !== null && $error !== null && $error['type'] & self::FATAL) {
                $this->send($this->pending + ['error' => $error['message']]);
            }
        }

        private function send(mixed $answer): void
        {
            $this->pending = null;
            $flags = JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_PRESERVE_ZERO_FRACTION;
            $line = json_encode($answer, $flags, self::DEPTH);
            if ($line === false) {
                $line = json_encode(['error' => json_last_error_msg()]);
            }
            for ($line .= "\n"; $line !== ''; $line = substr($line, $written)) {
                $written = fwrite($this->answers, $line);
                if ($written === false) {
                    exit(1);
                }
            }
        }
    }
}

namespace {
    // Functions and variables of an action are global, whichever file they are in: nothing else is left here.
    (static function (array $arguments): void {
        $GLOBALS['__oxwhisk'] = new Oxwhisk\Launcher();
        $GLOBALS['__oxwhisk_arguments'] = $arguments;
    })($argv);
    try {
        foreach ($__oxwhisk->files($__oxwhisk_arguments) as $__oxwhisk_file) {
            require $__oxwhisk_file;
        }
        $__oxwhisk->serve();
    } catch (Throwable $__oxwhisk_error) {
        $__oxwhisk->refuse($__oxwhisk_error);
    }
}
