def main(_args)
  { "left" => ENV.fetch("__OW_DEADLINE").to_i - Time.now.to_f * 1000 }
end
