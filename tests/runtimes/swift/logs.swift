import Foundation

struct Lines: Codable {
    let lines: Int
}

func main(input: Lines) async throws -> Lines {
    let text = String(repeating: "x", count: 90)
    for _ in 0..<input.lines {
        print("out " + text)
        FileHandle.standardError.write(Data("err \(text)\n".utf8))
    }
    return input
}
