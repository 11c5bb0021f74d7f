def attack(args):
    for pid in processes(args["secret"], "cmdline"):
        call("ptrace", 16, pid, None, None)
        os.waitpid(pid, 0x40000000)
        call("ptrace", 17, pid, None, None)
        return f"attached to {pid}"
    raise Refused("no such process")
