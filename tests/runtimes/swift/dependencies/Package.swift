// swift-tools-version:5.7

import PackageDescription

let package = Package(
    name: "Action",
    dependencies: [.package(path: "Greeter")],
    targets: [.executableTarget(name: "Action", dependencies: ["Greeter"])]
)
