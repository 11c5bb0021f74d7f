import socket


def main(args):
    host = socket.gethostname()
    return {"host": host} if args.get("calm") else {"host": host, "text": "ü" * (1 << 20)}
