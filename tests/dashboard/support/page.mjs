// What tests do with the page's parts.

/** Waits for a message such as "API_KEY was saved". */
export const told = (page, message) =>
  page.getByRole('status', { name: 'Messages' }).getByText(message).last().waitFor();

/** The dialog that is open. */
export const dialog = (page) => page.getByRole('dialog');

/** Clicks the button of this name in a part of the page. */
export const press = (where, name) => where.getByRole('button', { name, exact: true }).click();

/** Goes to a view by its hash, and waits for its heading. */
export async function show(page, hash, heading) {
  await page.evaluate((to) => {
    location.hash = to;
  }, hash);
  await page.getByRole('heading', { level: 1, name: heading }).waitFor();
}

/** Signs in with a token. */
export async function withToken(page, token) {
  await page.getByText('Sign in with a token instead').click();
  await page.getByLabel('Access token').fill(token);
  await press(page, 'Sign in');
}
