# Servers as people write them for images of their own. The first argument says what is odd about this one.
import http.server, json, os, socketserver, subprocess, sys, time

SENTINEL = "XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX"
manner = sys.argv[1]


def status(word):
    return next(line.split()[1] for line in open("/proc/self/status") if line.startswith(word))


def run(value):
    """Upstream's skeleton for Docker: a program a request, whose last line is the result."""
    if manner == "skeleton":
        program = ["/tmp/exec", json.dumps(value)]
        lines = subprocess.run(program, capture_output=True, text=True, check=True).stdout.splitlines()
        print("\n".join(lines[:-1]))
        return json.loads(lines[-1])
    print("hello", value.get("name"))
    owner = os.stat("/srv/mine").st_uid if os.path.exists("/srv/mine") else None
    return {"uid": os.getuid(), "capabilities": status("CapEff"), "owner": owner,
            "greeting": f"hello {value.get('name')}", "version": os.environ.get("VERSION")}


class Handler(http.server.BaseHTTPRequestHandler):
    if manner not in ("closing", "skeleton"):
        protocol_version = "HTTP/1.1"

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        answer = {"ok": True}
        if self.path == "/init" and manner == "skeleton":
            with open("/tmp/exec", "w") as file:
                file.write(request["value"]["code"])
            os.chmod("/tmp/exec", 0o700)
        elif self.path == "/run":
            answer = run(request["value"])
            for stream in sys.stdout, sys.stderr:
                print(SENTINEL, file=stream, flush=True)
        text = json.dumps(answer).encode()
        self.send_response(200)
        if manner == "chunked":
            self.send_header("transfer-encoding", "chunked")
        elif manner != "closing":
            self.send_header("content-length", str(len(text)))
        self.end_headers()
        for piece in (text[:5], text[5:], b"") if manner == "chunked" else (text,):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if manner == "chunked" else piece)

    def log_message(self, *args):
        pass


if manner == "get":
    del Handler.do_POST
    Handler.do_GET = Handler.do_HEAD = lambda self: self.send_error(404)
if manner == "slow":
    time.sleep(3)
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(("", 8080), Handler).serve_forever()
