def attack(args):
    for pid in processes(args["secret"], "environ"):
        return f"read that of {pid}"
    raise Refused("no such process")
