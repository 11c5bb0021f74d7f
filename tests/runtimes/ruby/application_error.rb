def main(_args)
  { "error" => "sorry" }
end
