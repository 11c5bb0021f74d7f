import http.server
import json
import sys

action = None


def init(request):
    global action
    code = request.get("value", {}).get("code")
    if action:
        print("Cannot initialize the action more than once.")
        return 403, {"error": "Cannot initialize the action more than once."}
    if not code:
        return 403, {"error": "Missing main/no code to execute."}
    names = {}
    exec(code, names)
    action = names["main"]
    return 200, {"ok": True}


def run(request):
    if not action:
        return 500, {"error": "no action defined yet"}
    return 200, action(request.get("value", {}))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        status, answer = (init if self.path == "/init" else run)(request)
        for stream in (sys.stdout, sys.stderr):
            if self.path == "/run":
                print("XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX", file=stream)
            stream.flush()
        answer = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments):
        pass


http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
