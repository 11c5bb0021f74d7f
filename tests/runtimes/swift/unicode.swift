func main(args: Any) -> Any {
    let arguments = args as! [String: Any]
    let delimiter = arguments["delimiter"] as! String
    let winter = "\(delimiter) ☃ \(delimiter)"
    print(winter)
    return ["winter": winter]
}
