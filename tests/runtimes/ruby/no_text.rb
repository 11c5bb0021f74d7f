def main(_args)
  { "text" => "a \xff in the middle" }
end
