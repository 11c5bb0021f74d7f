struct Input: Codable {
    let name: String?
}

struct Output: Codable {
    let greeting: String
}

func main(input: Input, respondWith: (Output?, Error?) -> Void) -> Void {
    respondWith(Output(greeting: "Hello \(input.name ?? "stranger")!"), nil)
}
