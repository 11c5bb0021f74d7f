def attack(args):
    for name, most in ("memory/memory.limit_in_bytes", "1073741824"), ("memory.max", "max"):
        path = f"/sys/fs/cgroup/{name}"
        if os.path.exists(path):
            with open(path, "w") as file:
                return file.write(most)
    raise Refused("no such file")
