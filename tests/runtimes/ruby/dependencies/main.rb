# One gem as Bundler installs it, and one as it packs it.
require "greeter"
require "polite"

def main(args)
  Greeter.greet(Polite.name(args["name"]))
end
