def attack(args):
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.connect("/var/run/docker.sock")
        return read_decoy(daemon, args)
