# SPDX-License-Identifier: Apache-2.0
"""gunicorn with gevent: a greenlet a connection, urllib3 over patched sockets. One worker process."""
from routes import Routes

_routes = []


def application(environ, start_response):
    if not _routes:
        _routes.append(Routes())  # after gunicorn has patched the worker
    _routes[0].serve(environ["PATH_INFO"], environ["HTTP_X_TRUTH_ID"])
    start_response("200 OK", [("Content-Length", "4")])
    return [b"done"]
