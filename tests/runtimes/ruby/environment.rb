NAMES = %w[api_host api_key namespace action_name action_version activation_id transaction_id deadline].freeze

def main(_args)
  NAMES.to_h { |name| [name, ENV["__OW_#{name.upcase}"]] }
end
