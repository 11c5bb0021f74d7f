func main(args: Any) -> Any {
    return ["error": "sorry"]
}
