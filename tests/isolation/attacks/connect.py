def attack(args):
    host, port = args["target"]
    with socket.create_connection((host, port), timeout=1) as connection:
        return read_decoy(connection, args)
