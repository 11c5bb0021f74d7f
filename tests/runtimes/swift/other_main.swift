func niam(args: Any) -> Any {
    return args
}
