def attack(args):
    refusal = Refused("no way to try")
    for host in args["target"][0]:
        device = "%eth0" if host.startswith("fe80:") else ""
        try:
            with socket.create_connection((host + device, args["target"][1]), timeout=1) as connection:
                return read_decoy(connection, args)
        except OSError as error:
            refusal = error
    raise refusal
