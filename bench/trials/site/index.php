<?php // The application of the trials for php-fpm; version() comes from release.php, which opcache preloads at the start.
file_get_contents('php://input');
usleep($_SERVER['REQUEST_URI'] === '/sleep' ? 500000 : 2000);
header('Content-Type: text/plain');
header('Content-Length: ' . strlen(version()));
echo version();
