def attack(args):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"who are you?", tuple(args["target"]))
        return read_decoy(client, args)
