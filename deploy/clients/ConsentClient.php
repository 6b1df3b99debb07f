<?php
// Check on your own server what a visitor allowed: reads the consent service's tokens and permits. PHP 8.0 or newer.
//
//     consent_verify('permit', explode('~', $_COOKIE['consent'] ?? '')[3] ?? '', 'kent', $keys, time())
//
// $keys are the keys of the service's secrets/signing.keys, the second word of each line. docs/clients.md says the rest.
declare(strict_types=1);

const CONSENT_DAY = 86400; // seconds
const CONSENT_VALIDITY = 180 * CONSENT_DAY;
const CONSENT_LONGEST = 2048; // characters

// What a text of that use ('token' or 'permit') says while it holds at $now (Unix time), else null: no consent.
function consent_verify(string $use, string $text, string $site, array $keys, int $now): ?array
{
    if (strlen($text) > CONSENT_LONGEST || !preg_match('/\A([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\z/', $text, $shape)) {
        return null;
    }
    $known = false;
    foreach ($keys as $key) {
        $known = hash_equals(consent_signed($use, $shape[1], $site, $key), $shape[2]) || $known;
    }
    if (!$known) {
        return null;
    }
    $body = json_decode(base64_decode(strtr($shape[1], '-_', '+/')), true, 8, JSON_THROW_ON_ERROR);
    $said = ['notice' => $body[0], 'decisions' => array_map('boolval', $body[1]), 'time' => $body[2]];
    $zone = new DateTimeZone('UTC');
    $lapses = (new DateTimeImmutable($body[2], $zone))->getTimestamp() + CONSENT_VALIDITY;
    if ($now >= $lapses + ($use === 'permit' ? CONSENT_DAY : 0)) {
        return null;
    }
    if ($use === 'permit') {
        return $said + ['explicit' => (bool) $body[3]];
    }
    return $said + ['method' => $body[3] ?? '', 'lang' => $body[4] ?? '', 'id' => $body[5] ?? ''];
}

function consent_signed(string $use, string $payload, string $site, string $key): string
{
    $derived = hash_hmac('sha256', "consent.$use.$site", $key, true);
    return rtrim(strtr(base64_encode(hash_hmac('sha256', $payload, $derived, true)), '+/', '-_'), '=');
}
