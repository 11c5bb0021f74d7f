func greet(_ name: String) -> [String: Any] {
    return ["greeting": "Hello \(name)!"]
}
