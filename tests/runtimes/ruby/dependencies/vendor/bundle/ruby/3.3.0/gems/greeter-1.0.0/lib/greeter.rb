module Greeter
  def self.greet(name)
    { "greeting" => "Hello #{name}!" }
  end
end
