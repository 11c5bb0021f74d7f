def attack(args):
    if args["ours"]:
        # The action proxy, which is the first process here.
        for number in signal.SIGKILL, signal.SIGSTOP, signal.SIGINT, signal.SIGHUP:
            try:
                os.kill(1, number)
            except PermissionError:
                pass
    for pid in processes(args["victim"], "cmdline"):
        os.kill(pid, signal.SIGKILL)
        return f"killed {pid}"
    raise Refused("no such process")
