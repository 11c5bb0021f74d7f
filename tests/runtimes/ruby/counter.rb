$count = 0

def main(_args)
  { "count" => $count += 1 }
end
