const EXTENSIONS = ['.html', '.http', '.json', '.svg', '.text'];

function main({ path, web, ext, trigger }) {
  const packaged = Boolean(path) && path.includes('/');
  if (web === true && trigger) {
    return { error: 'triggers are not allowed for web actions.' };
  }
  if (web === true && ext && !EXTENSIONS.includes(ext)) {
    const known = EXTENSIONS.map(extension => `"${extension}"`).join(', ');
    return { error: `extension for web action must be one of [${known}].` };
  }
  if (trigger && packaged) {
    return { error: 'triggers are not allowed in packages.' };
  }
  const { __OW_API_HOST: host, __OW_NAMESPACE: namespace } = process.env;
  if (web === true) {
    const base = `${host}/api/v1/web/${namespace}`;
    return { url: path ? `${base}/${packaged ? path : `default/${path}`}${ext || ''}` : base };
  }
  const base = `${host}/api/v1/namespaces/${namespace}/${trigger === true ? 'triggers' : 'actions'}`;
  return { url: path ? `${base}/${path}` : base };
}
