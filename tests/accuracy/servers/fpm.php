<?php
// SPDX-License-Identifier: Apache-2.0
// PHP under PHP-FPM: curl, curl_multi for parallel calls. PHP keeps no connections between requests. No worker queue
// either, so r8's hand-off is not there: its calls are made in turn.
$backends = explode(',', getenv('BACKENDS'));
$paths = ['/stock', '/reviews', '/price'];
[$a, $b, $c] = [0, 1, 2];
[, $route, $token] = array_pad(explode('/', $_SERVER['REQUEST_URI']), 3, '');
$truth = $_SERVER['HTTP_X_TRUTH_ID'];

function handle(int $which)
{
    global $backends, $paths, $token, $truth, $c;
    $id = $token !== '' && $which !== $c ? "/$token" : '';
    $handle = curl_init("http://127.0.0.1:{$backends[$which]}{$paths[$which]}$id");
    curl_setopt($handle, CURLOPT_HTTPHEADER, ["x-truth-id: $truth"]);
    curl_setopt($handle, CURLOPT_RETURNTRANSFER, true);
    return $handle;
}

function call(int $which): void
{
    if (curl_exec(handle($which)) !== 'ok') {
        http_response_code(502);
    }
}

function together(int ...$all): void
{
    $multi = curl_multi_init();
    foreach ($all as $which) {
        curl_multi_add_handle($multi, handle($which));
    }
    do {
        curl_multi_exec($multi, $running);
        if ($running) {
            curl_multi_select($multi);
        }
    } while ($running);
}

function pause(float $low, float $high): void
{
    usleep((int) (1000 * ($low + lcg_value() * ($high - $low))));
}

function work(float $ms): void
{
    for ($end = hrtime(true) + $ms * 1e6; hrtime(true) < $end;);
}

switch ($route) {
    case 'r1': call($a); together($b, $c); break;
    case 'r2': call($a); call($b); call($c); break;
    case 'r3': pause(1, 6); call($b); pause(0, 5); call($c); break;
    case 'r4': pause(0, 3); break;
    case 'r5': together($b, $b, $b); break;
    case 'r6': call($a); if (lcg_value() < 0.5) call($c); pause(1, 3); break;
    case 'r7': work(1); call($b); work(0.5); call($c); break;
    case 'r8': call($a); call($b); break;
}
header('Content-Length: 4');
echo 'done';
