def main(args)
  { "greeting" => "Hello #{args['name'] || 'stranger'}!" }
end
