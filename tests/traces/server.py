# An action's server that answers with the headers of a trace that its calls had.
import http.server, json, sys

INIT = {}


def traced(headers):
    return {name: headers[name] for name in ("traceparent", "tracestate") if name in headers}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/init":
            INIT.update(traced(self.headers))
        text = json.dumps({"init": INIT, "run": traced(self.headers)}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args):
        pass


http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
