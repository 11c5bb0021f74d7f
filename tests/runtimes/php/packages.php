<?php

use GuzzleHttp\Client;
use Ramsey\Uuid\Uuid;

function main(array $args): array
{
    return ['client' => new Client() instanceof Client, 'version' => Uuid::uuid4()->getVersion()];
}
